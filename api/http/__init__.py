"""What every route shares: authentication, forms, limits, errors, serializers and the OpenAPI document."""
