"""The public benchmark of card fraud: the Fraud Detection Handbook's transactions, through our features and our pipeline.

The data is third party and stays outside the product; docs/fraud-handbook.md tells where it comes from, and the protocol step by step.
"""
