"""Questions to a model behind an HTTP endpoint: asked once, answers kept.

`ask.ask_all` asks from inside a bundle, `ask.AskModel` is a Beam transform. The endpoint is any
server with the OpenAI protocol (``/v1/chat/completions``): vLLM, TGI, llama.cpp, or a hosted one.
"""
