"""The strict cloud: MiniStack, and in front of it the rules of AWS that it does not keep.

`s3_rules`, `lambda_rules` and `iam_rules` list them: one function each, with what AWS does, where that was
read, and when. `gate` puts them before MiniStack's own services, so that every client meets them, the
deployed functions included. A new rule is one function there and one test in tests/test_strict_cloud.py. One
that nobody is sure of is left out.
"""
