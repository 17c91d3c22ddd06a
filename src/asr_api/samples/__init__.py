"""Two recordings whose words are known: what the service reads to test itself, and what its examples send."""
