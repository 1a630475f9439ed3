"""A SavedModel through TensorFlow's C API: loaded, run, examined and proved without TensorFlow's Python.

Nothing in here imports the rest of this project, Keras or TensorFlow's Python: only ctypes, NumPy, protobuf and the
standard library. So it stands for what a server has, and the proof of an export runs it as a package of its own, in a
fresh process: `python textseq/serving/native FOLDER`.
"""
