"""Slots at a responder: asked for, waited for, used and given back."""
