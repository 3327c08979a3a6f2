"""The service's face: OpenAI's endpoints, told what the cache did by standard header fields."""
