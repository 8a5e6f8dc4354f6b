"""How far the hues and the brightness of two registered pictures differ."""
