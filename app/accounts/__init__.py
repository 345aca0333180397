"""Users, their sessions and API keys, what each may do, and the audit log.

Tables: accounts_users, accounts_sessions, accounts_api_keys, accounts_sign_in_attempts, audit_log. No job kinds.
Depends on core alone. Other features use `services.audit.record` and `types.Scope`.
"""
