"""When is an earlier answer right for this question? Pure: no I/O, and the clock is an argument."""
