"""More that a child of five knows: animals and their young, what is for what, who does what; and how people ask."""

from .words import Lore, pairs

BABY = Lore(
    pairs(
        """
        cat a_kitten, dog a_puppy, cow a_calf, sheep a_lamb, pig a_piglet, hen a_chick, horse a_foal, duck a_duckling
        goose a_gosling, goat a_kid, lion a_cub, bear a_cub, fox a_cub, wolf a_cub, frog a_tadpole, deer a_fawn
        swan a_cygnet, kangaroo a_joey, owl an_owlet, elephant a_calf, whale a_calf, tiger a_cub, person a_baby
        """
    ),
    (
        "what is a baby {x}( called|)",
        "what do you call a baby {x}",
        "what do you call a young {x}",
        "a baby {x} is called(...| ...| ___)",
        "what is the baby of {a_x}( called|)",
        "what is the young of {a_x}( called|)",
        "name the baby of {a_x}",
        "baby {x}",
        "the word for a baby {x}",
        "what is the name for a baby {x}",
        "{a_x} has a baby. What is it called",
        "(can you |please )tell me what a baby {x} is called",
        "tell me what a young {x} is called",
    ),
)
DWELLING = Lore(
    pairs(
        """
        bird in_a_nest, bee in_a_hive, dog in_a_kennel, horse in_a_stable, pig in_a_sty, fish in_the_water
        spider in_a_web, lion in_the_wild, fox in_a_den, bear in_a_cave, rabbit in_a_burrow, cow in_a_barn
        king in_a_castle
        queen in_a_palace, hen in_a_coop, whale in_the_sea, shark in_the_sea, camel in_the_desert, monkey in_the_jungle
        polar_bear in_the_snow, penguin in_the_snow, frog in_a_pond, worm in_the_ground, mole in_the_ground
        squirrel in_a_tree, owl in_a_tree, dolphin in_the_sea, crab in_the_sea, snail in_its_shell, farmer on_a_farm
        """
    ),
    (
        "where does {a_x} live",
        "where do you find {a_x}",
        "where is the home of {a_x}",
        "what is the home of {a_x}",
        "{a_x} lives where",
        "{a_x} lives(...| ...| ___)",
        "in what place does {a_x} live",
        "tell me where {a_x} lives",
        "(can you |please )tell me where {a_x} lives",
        "do you know where {a_x} lives",
        "where can I see {a_x} at home",
        "home of {a_x}",
    ),
)
MEAL = Lore(
    pairs(
        """
        cow grass, sheep grass, horse hay, rabbit carrots, mouse cheese, dog bones, monkey bananas, bear honey
        squirrel nuts, hen corn, cat fish, bee nectar, panda bamboo, lion meat, tiger meat, frog flies, spider flies
        bird seeds, goat grass, shark fish, penguin fish, seal fish, caterpillar leaves, giraffe leaves, wolf meat
        """
    ),
    (
        "what does {a_x} eat",
        "what does {a_x} like to eat",
        "what do you (give|feed) {a_x}",
        "what is the food of {a_x}",
        "food for {a_x}",
        "{a_x} eats(...| ...| ___)",
        "{a_x} likes to eat(...| ...| ___)",
        "tell me what {a_x} eats",
        "(can you |please )tell me what {a_x} eats",
        "I have {a_x}. What should I feed it",
        "what is good food for {a_x}",
    ),
)
USE = Lore(
    pairs(
        """
        write a_pen, draw a_pencil, cut_paper scissors, cut_bread a_knife, eat_soup a_spoon, drive_a_nail a_hammer
        open_a_lock a_key, tell_the_time a_clock, dig_a_hole a_spade, sweep_the_floor a_broom, wash_hands soap
        dry_hands a_towel, brush_teeth a_toothbrush, comb_hair a_comb, keep_dry_in_the_rain an_umbrella
        see_in_the_dark a_torch, drink_tea a_cup, sleep a_bed, sit a_chair, cook_soup a_pot, fry_an_egg a_pan
        take_a_photo a_camera, call_a_friend a_phone, catch_a_fish a_net, sew a_button a_needle, cut_wood a_saw
        climb_to_the_roof a_ladder, cross_a_river a_bridge, read a_book, pay money, carry_water a_bucket, fly a_plane
        rub_out_a_line a_rubber, paint_a_wall a_brush, light_a_candle a_match, see_a_face a_mirror
        send_a_letter a_stamp
        keep_food_cold a_fridge, bake_a_cake an_oven, measure_a_line a_ruler, look_at_the_stars a_telescope
        """.replace("sew a_button", "sew_on_a_button")
    ),
    (
        "what do you (use|need) to {x}",
        "what do I (use|need) to {x}",
        "what do people use to {x}",
        "with what do you {x}",
        "I want to {x}. What do I need",
        "I would like to {x}. What should I use",
        "what is used to {x}",
        "to {x} you need",
        "to {x} I need",
        "which thing helps you to {x}",
        "what is good to {x} with",
        "what would you take to {x}",
        "(can you |please )tell me what I need to {x}",
        "name a thing to {x} with",
    ),
)
SENSE = Lore(
    pairs(
        """
        see your_eyes, hear your_ears, smell your_nose, taste your_tongue, walk your_legs, chew your_teeth
        think your_brain
        talk your_mouth, touch_things your_hands, wave your_hand, kick_a_ball your_foot, clap your_hands
        bite your_teeth
        """
    ),
    (
        "what do you {x} with",
        "what do we {x} with",
        "with what do (you|people|we) {x}",
        "what part of the body do you {x} with",
        "which part of your body do you use to {x}",
        "you {x} with(...| ...| ___)",
        "people {x} with(...| ...| ___)",
        "I {x} with my what",
    ),
)
WORKER = Lore(
    pairs(
        """
        bakes_bread a_baker, flies_a_plane a_pilot, teaches_children a_teacher, puts_out_fires a_firefighter
        helps_sick_people a_doctor, looks_after_your_teeth a_dentist, cuts_hair a_hairdresser, grows_food a_farmer
        paints_pictures a_painter, drives_a_bus a_bus_driver, catches_thieves a_police_officer, sells_meat a_butcher
        builds_houses a_builder, brings_the_post a_postman, sings_songs a_singer, cooks_in_a_restaurant a_cook
        heals_sick_animals a_vet, writes_books a_writer, catches_fish a_fisherman, flies_to_the_moon an_astronaut
        mends_shoes a_shoemaker, makes_clothes a_tailor, sails_a_ship a_sailor, looks_after_sheep a_shepherd
        dances_on_a_stage a_dancer, mends_cars a_mechanic, lends_you_books a_librarian, mends_pipes a_plumber
        works_with_flowers_in_a_garden a_gardener, makes_people_laugh_at_the_circus a_clown
        """
    ),
    (
        "who {x}",
        "what do you call someone who {x}",
        "what do you call a person who {x}",
        "a person who {x} is called(...| ...| ___)",
        "someone who {x} is(...| ...| ___)",
        "what is the job of someone who {x}",
        "what is the job of a person who {x}",
        "my uncle {x}. What is he",
        "my mother {x}. What is her job",
        "tell me who {x}",
        "(can you |please )tell me who {x}",
        "name the person who {x}",
        "which worker {x}",
    ),
)
SOURCE = Lore(
    pairs(
        """
        milk a_cow, eggs a_hen, honey bees, wool a_sheep, apples an_apple_tree, bread flour, cheese milk, butter milk
        rain clouds, paper wood, grapes a_vine, light the_sun, chicks eggs, wine grapes, flour wheat, juice fruit
        toast bread, chips potatoes, jam fruit, ice water, glass sand, yogurt milk, pancakes flour
        """
    ),
    (
        "where (do|does) {x} come from",
        "what do we get {x} from",
        "what gives us {x}",
        "what is the source of {x}",
        "we get {x} from(...| ...| ___)",
        "{x} comes from(...| ...| ___)",
        "from what do we get {x}",
        "tell me where {x} comes from",
        "(can you |please )tell me what {x} comes from",
    ),
)
SEASON = Lore(
    pairs(
        """
        hottest summer, coldest winter, after_winter spring, after_spring summer, after_summer autumn
        after_autumn winter
        before_spring winter, before_winter autumn, before_summer spring, before_autumn summer
        """
    ),
    (
        "(which|what) season is {x}",
        "(which|what) season is the {x}",
        "name the season that is {x}",
        "tell me which season is {x}",
        "the season {x} is(...| ...| ___)",
        "(which|what) season of the year is {x}",
    ),
)
TODDLER = Lore(
    {
        "what shines in the sky at night": "the moon",
        "what shines in the sky by day": "the sun",
        "what falls from the clouds when it is cold": "snow",
        "what falls from the clouds": "rain",
        "what do you put on your feet": "shoes",
        "what do you wear on your head": "a hat",
        "what do you wear on your hands when it is cold": "gloves",
        "what do you wear around your neck in winter": "a scarf",
        "what is frozen water": "ice",
        "what is the biggest animal": "the blue whale",
        "what is the tallest animal": "the giraffe",
        "what is the fastest animal on land": "the cheetah",
        "which animal has a trunk": "the elephant",
        "which animal has a long neck": "the giraffe",
        "which animal has stripes black and white": "the zebra",
        "which animal has a mane": "the lion",
        "which animal hops and has a pouch": "the kangaroo",
        "which animal carries its house on its back": "the snail",
        "which animal makes honey": "the bee",
        "which animal gives milk": "the cow",
        "which animal lays eggs on the farm": "the hen",
        "which animal spins a web": "the spider",
        "who is the king of the animals": "the lion",
        "what is the first letter of the alphabet": "A",
        "what is the last letter of the alphabet": "Z",
        "what is the second letter of the alphabet": "B",
        "what is the first day of the week": "Monday",
        "what is the last day of the week": "Sunday",
        "what is the first month of the year": "January",
        "what is the last month of the year": "December",
        "what is the second month of the year": "February",
        "in which month is Christmas": "December",
        "what do you say when you meet someone": "hello",
        "what do you say when you leave": "goodbye",
        "what do you say when you get a gift": "thank you",
        "what do you say when you want something": "please",
        "what do you say when you did something bad": "sorry",
        "what do you blow out on a birthday cake": "candles",
        "what do you eat soup with": "a spoon",
        "what has a trunk, leaves and branches": "a tree",
        "what has pages and a cover": "a book",
        "what has hands but cannot clap": "a clock",
        "what has four legs but cannot walk": "a table",
        "what is round and bounces": "a ball",
        "what shape is a ball": "round",
        "what shape is a wheel": "round",
        "what shape has three sides": "a triangle",
        "what shape has four equal sides": "a square",
        "what do you get if you mix blue and yellow": "green",
        "what do you get if you mix red and yellow": "orange",
        "what do you get if you mix red and blue": "purple",
        "what do you get if you mix black and white": "grey",
        "what do you get if you mix red and white": "pink",
        "what is the meal in the morning": "breakfast",
        "what is the meal at noon": "lunch",
        "what is the meal in the evening": "dinner",
        "what is the mother of your mother": "your grandmother",
        "what is the father of your father": "your grandfather",
        "what is the brother of your mother": "your uncle",
        "what is the sister of your father": "your aunt",
        "what is the son of your uncle": "your cousin",
        "what do you call a house for cars": "a garage",
        "where do you buy bread": "at the bakery",
        "where do children learn to read": "at school",
        "where do you borrow books": "at the library",
        "where do you go when you are very sick": "to the hospital",
        "where do you see many wild animals": "at the zoo",
        "where do you wait for a train": "at the station",
        "where do planes land": "at the airport",
        "where do you swim": "in the pool",
        "where do you keep milk": "in the fridge",
        "where do you sleep": "in a bed",
        "where do you wash your hands": "in the bathroom",
        "is the sun hot or cold": "hot",
        "is ice hot or cold": "cold",
        "is snow hot or cold": "cold",
        "is fire hot or cold": "hot",
        "is sugar sweet or sour": "sweet",
        "is a lemon sweet or sour": "sour",
        "is a stone hard or soft": "hard",
        "is a pillow hard or soft": "soft",
        "is the sky up or down": "up",
        "is water wet or dry": "wet",
        "is a feather heavy or light": "light",
        "is a snail fast or slow": "slow",
        "is a rocket fast or slow": "fast",
    },
    (
        "{x}",
        "{x}",
        "{x}, please",
        "tell me: {x}",
        "(please |can you )tell me: {x}",
        "do you know: {x}",
        "a question: {x}",
        "quick question: {x}",
        "hey, {x}",
        "so, {x}",
        "can you answer this: {x}",
        "here is a riddle: {x}",
        "let me ask you: {x}",
        "I want to know: {x}",
        "I wonder, {x}",
    ),
)
