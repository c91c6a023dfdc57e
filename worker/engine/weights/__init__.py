"""Sources of VGG19's weights: a file, the download from Keras, or filters learned on this machine."""
