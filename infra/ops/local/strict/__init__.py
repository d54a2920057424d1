"""The strict cloud: MiniStack with rules of AWS that it does not enforce itself.

`s3_rules`, `lambda_rules` and `iam_rules` have one function for each rule. Its docstring says what AWS does,
with source and date. `gate` puts the rules in front of MiniStack's services, so they apply to every client,
deployed functions included. A new rule takes one function there and one test in tests/test_strict_cloud.py.
A rule needs a source: leave out what is uncertain.
"""
