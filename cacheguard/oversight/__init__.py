"""What is said of answers, and what follows: labels, more phrasings, and promises that are kept."""
