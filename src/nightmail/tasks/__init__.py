"""What users subclass: a task says what to ask for one record, and how to read and judge the answer."""
