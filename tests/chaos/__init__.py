"""The system under faults: real parts, real failures, and an audit that trusts none of the code under test."""
