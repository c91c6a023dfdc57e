"""Where VGG19's weights come from: a file, Keras' download, or filters learned here."""
