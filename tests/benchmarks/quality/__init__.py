"""The quality of results: metrics, contact sheets, and ballots for blind votes."""
