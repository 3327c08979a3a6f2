"""How models are asked: one file per wire format, all of them answering in the shape of OpenAI's chat completions."""
