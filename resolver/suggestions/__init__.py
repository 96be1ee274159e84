"""Mirrors and look-alikes of listed exchanges, as advice: nothing here blocks anything."""
