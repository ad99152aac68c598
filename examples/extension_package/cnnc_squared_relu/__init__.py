"""What a package outside cnnc can add to it, by the example of one activation: y = max(x, 0) ** 2.

``pyproject.toml`` lists the entry points by which cnnc finds each part; nothing here is imported before it is used.
"""
