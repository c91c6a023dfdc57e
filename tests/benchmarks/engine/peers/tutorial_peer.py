"""`python -m benchmarks.engine.peers.tutorial_peer WIDTH`: the loop of TensorFlow's style transfer tutorial, as a peer.

This is the baseline: the loop of the tutorial, rewritten. TensorFlow keeps its default settings except for the three
that importing `worker` sets (worker/__init__.py): Keras uses the TensorFlow backend, TensorFlow logs only
errors, and GPU memory grows as it is needed. None of them changes the results.

tensorflow.org/tutorials/generative/style_transfer: Keras' VGG19, Gram matrices by einsum, mean squared errors, and
Adam's updates clipped to [0, 1], all in one `tf.function`.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from benchmarks.engine.workload import Workload, best_weights
from benchmarks.processes import Step, serve

STYLE = [f"block{block}_conv1" for block in range(1, 6)]
CONTENT = "block5_conv2"
STYLE_WEIGHT, CONTENT_WEIGHT, VARIATION_WEIGHT = 1e-2, 1e4, 30


def _create_step(workload: Workload) -> Step:
    content, style = workload.float_images()
    return _trace_step(content[np.newaxis], style[np.newaxis], workload.weights.path)


def _trace_step(content: np.ndarray, style: np.ndarray, weights: Path) -> Step:
    """Return the tutorial's step for images (1, height, width, 3) float32 in [0, 1]."""
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
            *style_features, content_features = _activations(network, image)
            pairs = zip(style_features, style_targets, strict=True)
            differences = [tf.reduce_mean((_gram(features) - target) ** 2) for features, target in pairs]
            loss = STYLE_WEIGHT / len(STYLE) * tf.add_n(differences)
            loss += CONTENT_WEIGHT * tf.reduce_mean((content_features - content_target) ** 2)
            loss += VARIATION_WEIGHT * tf.reduce_sum(tf.image.total_variation(image))
        optimizer.apply_gradients([(tape.gradient(loss, image), image)])
        image.assign(tf.clip_by_value(image, 0.0, 1.0))
        return loss

    return lambda: float(step())


def _activations(network: keras.Model, image: tf.Tensor) -> list[tf.Tensor]:
    activations: list[tf.Tensor] = network(keras.applications.vgg19.preprocess_input(image * 255.0))
    return activations


def _gram(features: tf.Tensor) -> tf.Tensor:
    positions = tf.cast(tf.shape(features)[1] * tf.shape(features)[2], tf.float32)
    return tf.linalg.einsum("bijc,bijd->bcd", features, features) / positions


if __name__ == "__main__":
    serve(lambda: _create_step(Workload(int(sys.argv[1]), best_weights())))
