"""The operator's own certificate authority: boxes are enrolled, renewed and revoked by it."""
