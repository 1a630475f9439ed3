"""What every task on text needs, translation and classification alike.

Corpora, tokenization, batches, recurrent layers, training, scores and export, each in a module of its own. Importing
this package loads neither Keras nor TensorFlow.
"""

from __future__ import annotations

import os
import sys

__version__ = "0.1.0"

# TensorFlow is the one backend that can also export. Keras would take the user's ~/.keras/keras.json before its own
# default; the environment goes before both, and a choice that was made there, or by importing Keras, stands.
if "keras" not in sys.modules:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
