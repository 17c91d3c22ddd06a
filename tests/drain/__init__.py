"""The end of the service: nobody who came is left without an answer.

python -m tests.drain --rounds 100
"""
