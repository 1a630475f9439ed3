"""Layers on `keras.ops`: what a recurrent translator or classifier is made of."""
