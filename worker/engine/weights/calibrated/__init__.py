"""Calibrated weights: VGG19 filters learned from a few photos, for machines without pretrained weights."""
