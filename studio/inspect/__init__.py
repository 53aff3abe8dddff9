"""What routing traces tell, as plain data: whom a shot looked at, which part of it, with which heads.

sources     the columns of a trace as a person knows them
parts       the rows: the objects or frames of a shot, by position in the picture
story       shots × shots, from what takes record
heads       layers, heads and steps apart
difference  one take against another
words       a paragraph
figures     the same as Plotly figures
tables      the same as CSV, NPZ and Parquet
"""
