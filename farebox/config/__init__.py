"""The configuration: TOML text in, one frozen `tables.Config` out. Errors name the key and the remedy. Pure."""
