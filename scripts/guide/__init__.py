"""Makes the pages of the guide that say what the program itself says: keys, metrics, alerts, commands,
API.
"""
