"""Pipeline: recipes, the stage graph behind them, and the runner."""
