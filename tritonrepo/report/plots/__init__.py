"""Plots as SVG text, without script, font or file from elsewhere; light and dark by the style of their page."""
