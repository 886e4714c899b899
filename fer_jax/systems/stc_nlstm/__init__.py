"""STC-NLSTM and the DenseNet beside it."""
