"""What happened, for machines and people: events, metrics, traces. Never a prompt's text, never a secret."""
