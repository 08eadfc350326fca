"""The exact splitter: which node and service ships how many pieces of each line."""

from models.splitting.problem import Plan, Problem, ProblemRefused, Solution
from models.splitting.solver import NODE_LIMIT, solve, warm

__all__ = ["NODE_LIMIT", "Plan", "Problem", "ProblemRefused", "Solution", "solve", "warm"]
