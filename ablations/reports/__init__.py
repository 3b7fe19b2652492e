import logging

# What matplotlib says of folders that it may not write to, and of a matplotlibrc, which decides nothing here.
logging.getLogger("matplotlib").addFilter(lambda record: record.levelno > logging.WARNING)
logging.getLogger("matplotlib.font_manager").addFilter(lambda record: "cache" not in record.getMessage())
