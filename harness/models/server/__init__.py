"""What the server backends share: connections, patience, the words of refusals, and the two APIs."""
