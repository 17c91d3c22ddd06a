"""The command `asr-api conformance`: asks any server all that OpenAI's audio contract says, and tells what fails.

A check is a function of `themes` whose docstring says first what must hold and then why it matters.
"""
