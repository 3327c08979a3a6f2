"""From a miss to a validated answer: tiers in order, under one deadline, every failure with its class."""
