"""The exact splitter: which node and service ships how many pieces of each line."""

from models.splitting.neighbours import Neighbour, neighbours
from models.splitting.problem import Plan, Problem, ProblemRefused, Solution
from models.splitting.solver import NODE_LIMIT, solve, warm

__all__ = ["NODE_LIMIT", "Neighbour", "Plan", "Problem", "ProblemRefused", "Solution", "neighbours", "solve", "warm"]
