"""What the five papers print: their published figures stand here and nowhere else."""

from fer_jax.papers import bilinear_cnn, fer_gcn, inception_resnet_3d, st_bln, stc_nlstm
from fer_jax.papers.paper import Paper

PAPERS: dict[str, Paper] = {
    module.PAPER.key: module.PAPER
    for module in (st_bln, fer_gcn, bilinear_cnn, stc_nlstm, inception_resnet_3d)
}
