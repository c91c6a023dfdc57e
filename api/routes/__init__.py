"""One module per part of the HTTP API: views and, beside each, its description for the OpenAPI document."""
