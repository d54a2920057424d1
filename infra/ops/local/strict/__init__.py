"""The strict cloud: MiniStack, and in front of it the rules of AWS that it does not keep.

`rules` lists them, each with what AWS does and where that was read; `gate` puts them before MiniStack's own
handlers, so that every client meets them, the deployed functions included. A new rule is one function there
and one test in tests/test_strict_cloud.py.
"""
