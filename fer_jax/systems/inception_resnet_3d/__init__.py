"""3D Inception-ResNet with landmark shortcuts."""
