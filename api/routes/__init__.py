"""The views, one module per part of the API, each with its documentation for OpenAPI."""
