"""What all routes share: authentication, sessions, forms, limits, errors, serializers and the OpenAPI document."""
