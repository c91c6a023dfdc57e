"""What `deploy.painter` paints: the brush, the sketchbook, and one module per painting."""
