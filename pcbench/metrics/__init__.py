"""Pure functions of tables: accuracy, corruption errors, success rates, their intervals, and paired tests."""
