"""The pages under the mount: statement, opt-out, and what browsers look for at well-known addresses."""
