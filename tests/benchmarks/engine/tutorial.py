"""`python -m benchmarks.engine.tutorial WIDTH`: the loop of TensorFlow's style transfer tutorial, as a peer.

This is the baseline, rewritten from the tutorial, which many people run. TensorFlow keeps its default settings except
for the three that importing `worker` sets (worker/__init__.py): Keras uses the TensorFlow backend, TensorFlow logs only
errors, and GPU memory grows as it is needed. None of them changes what is computed.

tensorflow.org/tutorials/generative/style_transfer: Keras' VGG19, Gram matrices by einsum, mean squared errors, and
Adam's updates clipped to [0, 1], all in one `tf.function`.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from benchmarks.engine.scene import Scene, best_weights
from benchmarks.processes import Step, serve

STYLE = [f"block{block}_conv1" for block in range(1, 6)]
CONTENT = "block5_conv2"
STYLE_WEIGHT, CONTENT_WEIGHT, VARIATION_WEIGHT = 1e-2, 1e4, 30


def _of(scene: Scene) -> Step:
    content, style = scene.floats()
    return _loop(content[np.newaxis], style[np.newaxis], scene.weights.path)


def _loop(content: np.ndarray, style: np.ndarray, weights: Path) -> Step:
    """For images (1, height, width, 3) float32 in [0, 1]."""
    vgg = keras.applications.VGG19(include_top=False, weights=str(weights))
    vgg.trainable = False
    network = keras.Model(vgg.input, [vgg.get_layer(layer).output for layer in (*STYLE, CONTENT)])
    style_targets = [_gram(features) for features in _activations(network, tf.constant(style))[:-1]]
    content_target = _activations(network, tf.constant(content))[-1]
    image = tf.Variable(content)
    optimizer = keras.optimizers.Adam(learning_rate=0.02, beta_1=0.99, epsilon=1e-1)

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            *styles, deep = _activations(network, image)
            apart = [tf.reduce_mean((_gram(one) - to) ** 2) for one, to in zip(styles, style_targets, strict=True)]
            loss = STYLE_WEIGHT / len(STYLE) * tf.add_n(apart)
            loss += CONTENT_WEIGHT * tf.reduce_mean((deep - content_target) ** 2)
            loss += VARIATION_WEIGHT * tf.reduce_sum(tf.image.total_variation(image))
        optimizer.apply_gradients([(tape.gradient(loss, image), image)])
        image.assign(tf.clip_by_value(image, 0.0, 1.0))
        return loss

    return lambda: float(step())


def _activations(network: keras.Model, image: tf.Tensor) -> list[tf.Tensor]:
    found: list[tf.Tensor] = network(keras.applications.vgg19.preprocess_input(image * 255.0))
    return found


def _gram(features: tf.Tensor) -> tf.Tensor:
    places = tf.cast(tf.shape(features)[1] * tf.shape(features)[2], tf.float32)
    return tf.linalg.einsum("bijc,bijd->bcd", features, features) / places


if __name__ == "__main__":
    serve(lambda: _of(Scene(int(sys.argv[1]), best_weights())))
