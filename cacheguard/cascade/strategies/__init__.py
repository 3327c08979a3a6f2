"""In which order, and how many at once, the tiers of a route are asked. One file per strategy."""
